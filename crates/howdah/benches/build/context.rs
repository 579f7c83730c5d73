//! A build context of many files, and the four-stage Dockerfile that is built from it.

use std::path::{Path, PathBuf};

/// The size of a context.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) files: u32,
    pub(crate) bytes: u64,
}

/// 8,000 files, 60 MB: a PHP application with its dependencies.
pub(crate) const APPLICATION: Size = Size {
    files: 8_000,
    bytes: 60_000_000,
};
/// 100,000 files, 60 MB.
pub(crate) const MANY: Size = Size {
    files: 100_000,
    bytes: 60_000_000,
};

/// A directory to build from.
pub(crate) struct Context {
    pub(crate) path: PathBuf,
}

impl Context {
    /// Writes the files. Another `seed` gives other files and other steps, so nothing that was built before helps.
    pub(crate) fn write(path: PathBuf, size: Size, seed: u32) -> Context {
        let mean = size.bytes / u64::from(size.files);
        let mut random = u64::from(seed) + 1;
        for number in 0..size.files {
            let directory = path.join(format!("src/m{}/p{}", number % 96, number / 96 % 10));
            fs_err::create_dir_all(&directory).unwrap();
            // Many small files and a few large ones, as in source trees; the mean is kept.
            let weight = [1, 1, 2, 2, 3, 5, 8, 10][number as usize % 8];
            let length = usize::try_from(mean * weight / 4).unwrap();
            let mut content = Vec::with_capacity(length + 8);
            while content.len() < length {
                content.extend(step(&mut random).to_le_bytes());
            }
            fs_err::write(directory.join(format!("f{number}.php")), content).unwrap();
        }
        for (name, text) in [
            ("composer.json", "{}"),
            ("composer.lock", "locked"),
            ("package.json", "{}"),
        ] {
            fs_err::write(path.join(name), format!("{text}\n")).unwrap();
        }
        fs_err::write(path.join("Dockerfile"), dockerfile(seed)).unwrap();
        Context { path }
    }

    /// Changes one file.
    pub(crate) fn edit(&self, round: u32) {
        let path = self.path.join("src/m1/p0/f1.php");
        fs_err::write(path, format!("<?php // round {round}\n")).unwrap();
    }
}

/// A directory with nothing but `steps` RUN instructions that do nothing. Another `seed`, other steps.
pub(crate) fn runs(path: &Path, steps: u32, seed: u32) {
    fs_err::create_dir_all(path).unwrap();
    let steps = (0..steps).map(|step| format!("RUN true # {seed} {step}\n"));
    let text = format!("FROM debian:bookworm-slim\n{}", steps.collect::<String>());
    fs_err::write(path.join("Dockerfile"), text).unwrap();
}

fn dockerfile(seed: u32) -> String {
    format!(
        r#"FROM debian:bookworm-slim AS base-runtime
RUN echo {seed} > /runtime
FROM base-runtime AS dependencies
WORKDIR /app
COPY composer.json composer.lock ./
RUN mkdir vendor && i=0 && while [ $i -lt 1500 ]; do i=$((i+1)); echo "<?php // $i" > vendor/f$i.php; done
FROM base-runtime AS frontend
WORKDIR /app
COPY package.json ./
RUN mkdir public && echo built > public/app.js
FROM base-runtime AS app
WORKDIR /app
COPY --from=dependencies /app/vendor ./vendor
COPY . /app
COPY --from=frontend /app/public ./public
RUN ls /app > /app/listing
USER 1000
CMD ["true"]
"#
    )
}

/// The next number of a 64-bit xorshift generator.
fn step(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
