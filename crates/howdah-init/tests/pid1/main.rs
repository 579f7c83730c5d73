//! The supervisor with real processes: as PID 1 of a namespace, where orphans and signals are what they are in an image.

mod faults;
mod life;
mod output;
mod stop;
mod surroundings;
mod world;
