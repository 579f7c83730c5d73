//! Images to move, and clients to move them with.

use howdah_image::{Image, Registry, RegistryOptions};

use crate::common::{TestStore, write};

pub(crate) fn client() -> Registry {
    Registry::new(RegistryOptions::default()).unwrap()
}

/// A client with Docker's configuration `config`, which stays in the store's directory.
pub(crate) fn client_with(test: &TestStore, config: &str) -> Registry {
    let path = write(test.directory.path(), "config.json", config);
    Registry::new(RegistryOptions {
        docker_config: Some(path),
        ..RegistryOptions::default()
    })
    .unwrap()
}

/// Two small layers.
pub(crate) fn image(test: &TestStore) -> Image {
    let base = test.snapshot(|root| drop(write(root, "base", &"base".repeat(500_000))));
    let top = test.snapshot(|root| drop(write(root, "top", "top")));
    test.image(vec![vec![base], vec![top]])
}

/// One layer of three megabytes that no compression makes smaller.
pub(crate) fn large_image(test: &TestStore) -> Image {
    let mut state = 88_172_645_463_325_252_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        // xorshift64 (Marsaglia 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(3 << 17)
    .flatten()
    .collect();
    let layer = test.snapshot(|root| fs_err::write(root.join("noise"), &noise).unwrap());
    test.image(vec![vec![layer]])
}
