"""Builds over shards: trees of any size, on any storage, by any number of workers.

``shards`` cuts a listing while it streams, ``store`` reads and writes objects, ``account`` is what is known of a shard,
``job`` is what a worker does with one, ``executors`` are where workers come from, ``run`` keeps them busy.
"""
