//! Digests, content store, overlay snapshots, layers and the registry client.
