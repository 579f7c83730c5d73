//! What the checks learn about base images.

use howdah_dockerfile::lint::{BaseImage, Images};
use howdah_image::{Image, Reference};

/// Images as `find` finds them, such as those of a store. An image that it does not find is unknown.
pub struct KnownImages<'a> {
    /// Looks for the image of that name.
    pub find: &'a dyn Fn(&str) -> Option<Image>,
}

impl std::fmt::Debug for KnownImages<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("KnownImages")
    }
}

impl Images for KnownImages<'_> {
    fn is_reference(&self, name: &str) -> bool {
        name.parse::<Reference>().is_ok()
    }

    fn configuration(&self, name: &str) -> Option<BaseImage> {
        let config = (self.find)(name)?.config.config;
        Some(BaseImage {
            has_shell: config.shell.is_some_and(|shell| !shell.is_empty()),
            env: config.env,
            user: config.user,
            working_dir: config.working_dir,
            on_build: config.on_build,
        })
    }
}
