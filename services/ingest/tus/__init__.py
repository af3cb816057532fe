"""tus 1.0, the open protocol for resumable uploads (https://tus.io/protocols/resumable-upload), at `/files`."""
