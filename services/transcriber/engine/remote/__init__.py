"""The `openai` engine: another server hears, over the API that OpenAI has made common. Nothing here imports torch."""
