"""Cutting a recording into clips: a process of its own, that decodes with PyAV and knows nothing of the engine, brokers or stores."""
