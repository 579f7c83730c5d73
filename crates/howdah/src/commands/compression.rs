//! How layers are compressed that leave: the flags that `push` and `image save` share.

use howdah_image::Compression;
use howdah_image::export::ExportOptions;
use howdah_image::layer::{CompressionOptions, PackOptions};

use super::CommandError;

/// Flags of layers that leave.
#[derive(Debug, clap::Args)]
pub(crate) struct LayerArgs {
    /// Of layers made here: gzip, zstd or uncompressed; others keep theirs [default: gzip].
    #[arg(long, value_name = "KIND")]
    compression: Option<Compression>,
    /// 0 to 9 for gzip, 0 to 22 for zstd.
    #[arg(long, value_name = "LEVEL")]
    compression_level: Option<u32>,
    /// Compress layers from elsewhere the same way.
    #[arg(long)]
    force_compression: bool,
    /// Give files of layers made here this time instead of the image's, in seconds since 1970.
    #[arg(
        long,
        env = "SOURCE_DATE_EPOCH",
        value_name = "SECONDS",
        hide_env_values = true
    )]
    source_date_epoch: Option<i64>,
}

impl LayerArgs {
    pub(crate) fn options(&self) -> Result<ExportOptions, CommandError> {
        let highest = self
            .compression
            .unwrap_or(Compression::Gzip)
            .highest_level();
        if self.compression_level.is_some_and(|level| level > highest) {
            let error = CommandError::new("there is no such compression level");
            return Err(error.hint(format!("it is at most {highest} here")).code(2));
        }
        Ok(ExportOptions {
            pack: PackOptions {
                epoch: self.source_date_epoch,
            },
            compression: CompressionOptions {
                kind: self.compression,
                level: self.compression_level,
                force: self.force_compression,
            },
            ..ExportOptions::default()
        })
    }
}
