"""What the tests share: needs, leak checks, ordinary users, the command under test."""
