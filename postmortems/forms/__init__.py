"""Forms of the console about money: each shows its errors at the field, and keeps what was typed."""
