//! The supervisor with real processes: as PID 1 of a namespace, where orphans and signals are what they are in an image.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod life;
#[cfg(test)]
mod output;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod surroundings;
#[cfg(test)]
mod world;
