"""From generated sequences to an order: rules, a table with reasons, protein to DNA, the file that is sent off."""
