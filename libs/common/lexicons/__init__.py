"""Words that a tenant keeps for its jobs: `entries` is what a lexicon holds, `store` where lexicons and jobs' copies of them are."""
