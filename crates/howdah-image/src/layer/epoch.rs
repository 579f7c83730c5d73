//! The time that stands for the time of day in layers made here (docs/decisions/0012).

use jiff::Timestamp;

use crate::Image;

impl Image {
    /// When the image says it was created, in whole seconds since 1970; 0 if it does not say.
    ///
    /// What is built on it has the same time: it changes with the inputs and never with the day.
    pub fn epoch(&self) -> i64 {
        self.config.created.as_deref().map_or(0, seconds)
    }

    /// The time that new files of the layer with this index get when it is packed: what the history says of its step, else
    /// the image's own.
    pub fn layer_epoch(&self, index: usize) -> i64 {
        let steps = self.config.history.iter();
        let steps: Vec<_> = steps.filter(|step| !step.empty_layer).collect();
        // A history is a remark; only a complete one tells which step made which layer.
        let step = steps
            .get(index)
            .filter(|_| steps.len() == self.layers.len())
            .and_then(|step| step.created.as_deref());
        step.map_or_else(|| self.epoch(), seconds)
    }
}

/// A time that cannot be read is none.
fn seconds(time: &str) -> i64 {
    time.parse::<Timestamp>().map_or(0, Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{History, ImageConfig, ImageId, Layer};

    fn image(created: Option<&str>, history: &[(Option<&str>, bool)], layers: usize) -> Image {
        let step = |(created, empty_layer): &(Option<&str>, bool)| History {
            created: created.map(str::to_owned),
            empty_layer: *empty_layer,
            ..History::default()
        };
        let config = ImageConfig {
            created: created.map(str::to_owned),
            history: history.iter().map(step).collect(),
            ..ImageConfig::default()
        };
        let layers = vec![Layer { snapshots: vec![] }; layers];
        let id = ImageId::of(&config, &layers).unwrap();
        Image { id, config, layers }
    }

    #[test]
    fn a_layer_has_the_time_of_its_step() {
        let base = Some("1970-01-01T00:00:07Z");
        let own = Some("1970-01-01T00:01:00.5+00:00");
        let steps = [(base, false), (own, true), (own, false)];
        let whole = image(own, &steps, 2);
        assert_eq!((whole.layer_epoch(0), whole.layer_epoch(1)), (7, 60));
        let incomplete = image(own, &steps, 3);
        assert_eq!(incomplete.layer_epoch(0), 60);
        assert_eq!(image(None, &[], 1).layer_epoch(0), 0);
        assert_eq!(image(Some("long ago"), &[], 1).layer_epoch(0), 0);
    }
}
