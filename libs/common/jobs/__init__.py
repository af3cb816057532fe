"""A job: one recording on its way to a transcript. `job` is what it is, `store` how it changes, `options` what was asked for."""
