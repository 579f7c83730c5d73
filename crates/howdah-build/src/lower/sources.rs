//! What stands outside the Dockerfile: base images, contexts and remote sources, each looked at once for all targets.

use std::collections::HashMap;
use std::error::Error;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use howdah_dockerfile::ignore::Ignore;
use howdah_image::archive::load_layout;
use howdah_image::{Digest, Image, Platform, Store, StoreError};

use super::contexts::Named;
use crate::cache::Memory;
use crate::context::Scan;
use crate::error::{BuildError, LowerError};
use crate::remote::{FetchOp, GitReference, Remote};
use crate::request::{NamedContext, Target, Text};
use crate::root::Root;
use crate::timing::{Phase, Timings};

/// Gets an image for a platform from a registry into the store.
pub type Pull<'a> =
    &'a (dyn Fn(&str, &Platform) -> Result<Image, Box<dyn Error + Send + Sync>> + Sync);

/// Images and contexts by name.
pub(crate) struct Sources<'a> {
    store: &'a Store,
    remote: &'a Remote,
    pull: Pull<'a>,
    /// Ask the registry although an image is here.
    always: bool,
    pub(super) timings: &'a Timings,
    images: HashMap<(String, Platform), Rc<Image>>,
    named: HashMap<(NamedContext, Platform), Named>,
    downloads: HashMap<String, Digest>,
    commits: HashMap<(GitReference, bool), FetchOp>,
    scans: HashMap<(PathBuf, Option<String>), Arc<Scan>>,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(
        store: &'a Store,
        remote: &'a Remote,
        pull: Pull<'a>,
        always: bool,
        timings: &'a Timings,
    ) -> Sources<'a> {
        Sources {
            store,
            remote,
            pull,
            always,
            timings,
            images: HashMap::new(),
            named: HashMap::new(),
            downloads: HashMap::new(),
            commits: HashMap::new(),
            scans: HashMap::new(),
        }
    }

    /// An image to build on.
    pub(crate) fn base(
        &mut self,
        name: &str,
        platform: &Platform,
    ) -> Result<Rc<Image>, LowerError> {
        let image = self.look_up(name, platform)?;
        suits(platform, &image, || name.to_owned()).map(|()| image)
    }

    /// An image to take files from. One that is only to be had for another platform will do, as in BuildKit.
    pub(crate) fn image(
        &mut self,
        name: &str,
        platform: &Platform,
    ) -> Result<Rc<Image>, LowerError> {
        let found = self.look_up(name, platform);
        let is_only_another =
            |error: &LowerError| matches!(error, LowerError::Image { here, .. } if here.len() == 1);
        let error = match found {
            Err(error) if is_only_another(&error) => error,
            found => return found,
        };
        let image = Rc::new(self.store.find_image(name)?.ok_or(error)?);
        self.store.hold_image(&image, name)?;
        let key = (name.to_owned(), platform.clone());
        self.images.insert(key, Rc::clone(&image));
        Ok(image)
    }

    /// An image of the store for this platform, or else of a registry, which may have only one and not say for which platform.
    fn look_up(&mut self, name: &str, platform: &Platform) -> Result<Rc<Image>, LowerError> {
        let key = (name.to_owned(), platform.clone());
        if let Some(image) = self.images.get(&key) {
            return Ok(Rc::clone(image));
        }
        let image = self
            .timings
            .measure(Phase::Bases, || self.fetch(name, platform))?;
        let image = Rc::new(image);
        self.images.insert(key, Rc::clone(&image));
        Ok(image)
    }

    /// All images that were looked up, in the order of their names.
    pub(crate) fn into_images(self) -> Vec<(String, Image)> {
        let images = self.images.into_iter();
        let mut images: Vec<_> = images
            .map(|((name, _), image)| (name, Rc::unwrap_or_clone(image)))
            .collect();
        images.sort_by(|a, b| a.0.cmp(&b.0));
        images
    }

    fn fetch(&self, name: &str, platform: &Platform) -> Result<Image, LowerError> {
        let local = self.store.find_image_for(name, platform)?;
        // It stays whole until the build ends. One that has lost a layer is fetched anew.
        let damage = match &local {
            Some(image) => self.store.hold_image(image, name).err(),
            None => None,
        };
        match local {
            Some(image) if !self.always && damage.is_none() => Ok(image),
            local => match ((self.pull)(name, platform), local, damage) {
                (Ok(image), _, _) => {
                    self.store.hold_image(&image, name)?;
                    Ok(image)
                }
                (Err(_), _, Some(damage)) => Err(damage.into()),
                // An image that was made here has no registry to come from.
                (Err(_), Some(image), None) if is_local(name) => Ok(image),
                (Err(source), _, None) => Err(LowerError::Image {
                    name: name.to_owned(),
                    platform: Box::new(platform.clone()),
                    here: self.platforms_here(name),
                    source,
                }),
            },
        }
    }

    /// For which platforms the store has a name.
    fn platforms_here(&self, name: &str) -> Vec<Platform> {
        let reference = name.parse().ok();
        let images = reference.and_then(|reference| self.store.images_of(&reference).ok());
        let images = images.unwrap_or_default().into_iter();
        images.map(|image| Platform::of(&image.config)).collect()
    }

    /// What a named context is.
    pub(super) fn named(
        &mut self,
        context: &NamedContext,
        platform: &Platform,
    ) -> Result<Named, LowerError> {
        let key = (context.clone(), platform.clone());
        if let Some(named) = self.named.get(&key) {
            return Ok(named.clone());
        }
        let named = match context {
            NamedContext::Image(name) if name == "scratch" => Named::Nothing,
            NamedContext::Image(name) => Named::Image(self.image(name, platform)?),
            NamedContext::Layout { directory, name } => {
                let image = load_layout(self.store, directory, name.as_deref(), platform);
                let image = image.map_err(|source| LowerError::Layout {
                    directory: directory.clone(),
                    source: Box::new(source),
                })?;
                Named::Image(Rc::new(image))
            }
            NamedContext::Directory(directory) => {
                let ignore = Text::read_ignore(&directory.join(".dockerignore"));
                let ignore = ignore.map_err(|source| LowerError::Context {
                    path: directory.clone(),
                    source: std::io::Error::other(source),
                })?;
                Named::Files(self.scan(directory, ignore.as_ref())?)
            }
            NamedContext::Remote(address) => Named::Tree(self.remote.look_up(address, false)?.0),
        };
        self.named.insert(key, named.clone());
        Ok(named)
    }

    /// The content of a URL.
    pub(super) fn download(&mut self, address: &str) -> Result<Digest, LowerError> {
        if let Some(digest) = self.downloads.get(address) {
            return Ok(*digest);
        }
        let digest = self.remote.download(address, None)?.digest;
        self.downloads.insert(address.to_owned(), digest);
        Ok(digest)
    }

    /// The commit that a reference means.
    pub(super) fn commit(
        &mut self,
        reference: &GitReference,
        keep_git_dir: bool,
    ) -> Result<FetchOp, LowerError> {
        let key = (reference.clone(), keep_git_dir);
        if let Some(op) = self.commits.get(&key) {
            return Ok(op.clone());
        }
        let op = FetchOp::Git(self.remote.resolve(reference, keep_git_dir)?);
        self.commits.insert(key, op.clone());
        Ok(op)
    }

    /// The root filesystem of an image.
    pub(crate) fn root(&self, image: &Image) -> Result<Arc<Root>, StoreError> {
        Memory::new(self.store).image_root(image).map(Arc::new)
    }

    /// The files of a directory.
    pub(crate) fn scan(
        &mut self,
        directory: &Path,
        ignore: Option<&Text>,
    ) -> Result<Arc<Scan>, LowerError> {
        let error = |source| LowerError::Context {
            path: directory.to_owned(),
            source,
        };
        let path = fs_err::canonicalize(directory).map_err(error)?;
        let key = (path, ignore.map(|text| text.text.clone()));
        if let Some(scan) = self.scans.get(&key) {
            return Ok(Arc::clone(scan));
        }
        let patterns = match ignore {
            Some(text) => Ignore::parse(&text.text)?,
            None => Ignore::default(),
        };
        let memory = Memory::new(self.store);
        let name = [
            key.0.as_os_str().as_bytes(),
            b"\0",
            key.1.as_deref().unwrap_or("").as_bytes(),
        ]
        .concat();
        let scan = self.timings.measure(Phase::Contexts, || {
            let known = memory.stats(&name)?;
            let (scan, changed) = Scan::new(&key.0, &patterns, &known).map_err(error)?;
            if let Some(changed) = changed {
                memory.save_stats(&name, &changed)?;
            }
            Ok::<_, LowerError>(scan)
        })?;
        let scan = Arc::new(scan);
        self.scans.insert(key, Arc::clone(&scan));
        Ok(scan)
    }
}

/// Refuses an image whose programs are for another platform.
pub(super) fn suits(
    platform: &Platform,
    image: &Image,
    name: impl Fn() -> String,
) -> Result<(), LowerError> {
    let found = Platform::of(&image.config);
    if platform.rank(&found).is_some() {
        return Ok(());
    }
    Err(LowerError::Platform {
        name: name(),
        platform: Box::new(platform.clone()),
        found: Box::new(found),
    })
}

/// Whether a name has no registry in it, so that it may be one that only exists here.
fn is_local(name: &str) -> bool {
    let first = name.split('/').next().unwrap_or(name);
    !name.contains('/') || !(first.contains(['.', ':']) || first == "localhost")
}

/// Refuses a target whose ignore file cannot be read, naming the file.
pub(crate) fn check_ignore(target: &Target) -> Result<(), BuildError> {
    let Some(text) = &target.ignore else {
        return Ok(());
    };
    match Ignore::parse(&text.text) {
        Ok(_) => Ok(()),
        Err(source) => Err(BuildError::Ignore {
            name: text.name.clone(),
            source,
        }),
    }
}
