"""The numerics of noise: rate matrices and their powers, schedules, event counts, importance sampling, embeddings."""
