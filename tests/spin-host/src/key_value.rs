//! A key-value store: in memory, and in a folder when it is to outlive the process.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use crate::component::bindings::spin::key_value::key_value::{Error, Host, HostStore, HostStoreWithStore};
use crate::component::{Spin, SpinView};
use crate::control::Asked;
use crate::world::World;

/// All entries.
pub(crate) struct KeyValue {
    entries: Mutex<BTreeMap<String, Vec<u8>>>,
    folder: Option<PathBuf>,
}

/// An opened store: there is one.
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct OpenStore;

impl KeyValue {
    /// Opens the store in `folder` and reads what is there.
    pub(crate) fn open(folder: Option<PathBuf>) -> Result<Self> {
        let entries = match &folder {
            Some(folder) => read(folder).with_context(|| format!("cannot read {}", folder.display()))?,
            None => BTreeMap::new(),
        };
        Ok(Self { entries: Mutex::new(entries), folder })
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        // Each change is one call, so a panic leaves the map whole.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        if let Some(folder) = &self.folder {
            fs::write(folder.join(file_name(&key)), &value).map_err(|error| Error::Other(error.to_string()))?;
        }
        self.entries().insert(key, value);
        Ok(())
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        let was_there = self.entries().remove(key).is_some();
        match &self.folder {
            Some(folder) if was_there => {
                fs::remove_file(folder.join(file_name(key))).map_err(|error| Error::Other(error.to_string()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Host for SpinView<'_> {}

impl HostStore for SpinView<'_> {
    fn drop(&mut self, store: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl<T: Send> HostStoreWithStore<T> for Spin {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> Result<Resource<OpenStore>, Error> {
        if label != "default" {
            return Err(Error::NoSuchStore);
        }
        accessor.with(|mut access| access.get().table.push(OpenStore).map_err(|_| Error::StoreTableFull))
    }

    async fn get(accessor: &Accessor<T, Self>, _: Resource<OpenStore>, key: String) -> Result<Option<Vec<u8>>, Error> {
        let world = world(accessor);
        world.control.meet(Asked::KeyValue).await;
        Ok(world.key_value.entries().get(&key).cloned())
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        _: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        world(accessor).key_value.set(key, value)
    }

    async fn delete(accessor: &Accessor<T, Self>, _: Resource<OpenStore>, key: String) -> Result<(), Error> {
        world(accessor).key_value.delete(&key)
    }

    async fn exists(accessor: &Accessor<T, Self>, _: Resource<OpenStore>, key: String) -> Result<bool, Error> {
        Ok(world(accessor).key_value.entries().contains_key(&key))
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        _: Resource<OpenStore>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let keys: Vec<String> = world(accessor).key_value.entries().keys().cloned().collect();
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            let end = FutureReader::new(&mut access, async { wasmtime::error::Ok(Ok(())) })?;
            Ok((keys, end))
        })
    }
}

fn world<T>(accessor: &Accessor<T, Spin>) -> Arc<World> {
    accessor.with(|mut access| Arc::clone(access.get().world))
}

/// A file for each entry, named by its key in hexadecimal.
fn read(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    fs::create_dir_all(folder)?;
    let mut entries = BTreeMap::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        if let Some(key) = file.file_name().to_str().and_then(key_of) {
            entries.insert(key, fs::read(file.path())?);
        }
    }
    Ok(entries)
}

fn file_name(key: &str) -> String {
    key.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn key_of(file_name: &str) -> Option<String> {
    let byte = |at| u8::from_str_radix(file_name.get(at..at + 2)?, 16).ok();
    let bytes = (0..file_name.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?;
    String::from_utf8(bytes).ok()
}
