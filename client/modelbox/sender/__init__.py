"""Sends what is in a queue. `modelbox.sending` begins it beside a training, `modelbox sync` on its own."""
