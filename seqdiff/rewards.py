"""Rewards that users often ask for, to guide with `seqdiff.guidance.Reward` or to rank by; each is a callable."""
