"""The APIs of five earlier services, for clients that were written for them: docs/api/earlier-services.md says what is where.

One module for each document (`whisperx_server`, `queue`, `media`, `segments`, `storage`), each a mapping of jobs to that document's words
and no more. None of them knows another; `shared` answers at the paths that two of them name, with the fields of both. The first shares its
path with OpenAI's API, which asks it what its fields mean.
"""

PATHS = ("/transcribe", "/jobs", "/queue/", "/process", "/status/", "/result/", "/storage/", "/admin/")
"""What begins like this asks for a key, where keys are asked for. `/api/jobs` is among the native paths, and `/health` is everybody's."""
