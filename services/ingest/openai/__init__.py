"""OpenAI's audio API: its clients work with nothing changed but the base URL. docs/api/openai.md says what is the same and what is not."""
