//! PID 1: spawn, forward signals, reap, restart, drain.
