//! One container: specification, cgroups, network, logs, over libcontainer.
