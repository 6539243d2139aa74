//! Rendered results in the order of their tasks, with bounded memory: [`Blocks`].
//!
//! A block whose turn it is goes straight out. One that comes early waits: in memory while all that wait
//! are few bytes, else in an unnamed temporary file. What stays in memory for a block in the file is its
//! place there, some 40 bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use batch_core::TaskId;

use crate::error::ExportError;

/// Where results go.
pub(crate) type Out<'a> = Box<dyn Write + Send + 'a>;

/// The longest block that may wait in memory.
const LONGEST_IN_MEMORY: usize = 64 * 1024;
/// How many bytes may wait in memory together.
const MOST_IN_MEMORY: usize = 4 * 1024 * 1024;

/// Puts blocks, one for a task, to their place: as they come or in the order of the tasks.
pub(crate) struct Blocks<'a> {
    out: BufWriter<Out<'a>>,
    /// The number of the task whose turn it is; `None` to keep no order.
    next: Option<u32>,
    early: BTreeMap<u32, Early>,
    in_memory: usize,
    aside: Aside,
}

/// A block that waits for its turn.
enum Early {
    Memory(Box<[u8]>),
    Spooled { offset: u64, len: u64 },
}

impl<'a> Blocks<'a> {
    /// Blocks that go to `out`, in the order of their tasks if `keep_order`. Blocks that wait are in a
    /// file of `spool_folder`, by default the system's folder for temporary files.
    pub(crate) fn new(out: Out<'a>, keep_order: bool, spool_folder: Option<PathBuf>) -> Self {
        Self {
            out: BufWriter::with_capacity(LONGEST_IN_MEMORY, out),
            next: keep_order.then_some(1),
            early: BTreeMap::new(),
            in_memory: 0,
            aside: Aside {
                bytes: Vec::new(),
                spooled: None,
                spool: Spool::new(spool_folder),
            },
        }
    }

    /// The writer for what precedes all blocks.
    pub(crate) fn head(&mut self) -> &mut BufWriter<Out<'a>> {
        &mut self.out
    }

    /// The writer alone, for what has an order of its own.
    pub(crate) fn into_out(self) -> BufWriter<Out<'a>> {
        self.out
    }

    /// Takes the block of a task, which `render` writes. A task has one block.
    pub(crate) fn put(
        &mut self,
        task: TaskId,
        render: impl FnOnce(&mut Sink<'_, 'a>) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let number = task.get();
        match self.next {
            Some(next) if number > next => self.put_early(number, render),
            Some(next) => {
                render(&mut Sink::Out(&mut self.out))?;
                if number == next {
                    self.release()
                } else {
                    Ok(())
                }
            }
            None => render(&mut Sink::Out(&mut self.out)),
        }
    }

    /// Says that a task has no block, so that nothing waits for it.
    pub(crate) fn skip(&mut self, task: TaskId) -> Result<(), ExportError> {
        match self.next {
            Some(next) if task.get() > next => {
                self.early.insert(task.get(), Early::Memory(Box::default()));
                Ok(())
            }
            Some(next) if task.get() == next => self.release(),
            _ => Ok(()),
        }
    }

    /// Hands on what need not wait.
    pub(crate) fn flush(&mut self) -> Result<(), ExportError> {
        Ok(self.out.flush()?)
    }

    /// Writes what still waits, whether or not the tasks before it ever came.
    pub(crate) fn finish(&mut self) -> Result<(), ExportError> {
        while let Some((_, block)) = self.early.pop_first() {
            self.write_early(block)?;
        }
        self.flush()
    }

    fn put_early(
        &mut self,
        number: u32,
        render: impl FnOnce(&mut Sink<'_, 'a>) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let aside = &mut self.aside;
        aside.bytes.clear();
        aside.spooled = None;
        render(&mut Sink::Aside(aside)).map_err(ExportError::in_spool)?;
        let room = MOST_IN_MEMORY.saturating_sub(self.in_memory);
        let early = match aside.spooled {
            None if aside.bytes.len() <= room => {
                self.in_memory += aside.bytes.len();
                Early::Memory(aside.bytes.as_slice().into())
            }
            _ => aside.end().map_err(ExportError::Spool)?,
        };
        self.early.insert(number, early);
        Ok(())
    }

    /// The turn is over: writes all blocks that follow without a gap.
    fn release(&mut self) -> Result<(), ExportError> {
        let mut next = self.next.unwrap_or_default().saturating_add(1);
        while let Some(entry) = self.early.first_entry()
            && *entry.key() == next
        {
            let block = entry.remove();
            self.write_early(block)?;
            next = next.saturating_add(1);
        }
        self.next = Some(next);
        if self.early.is_empty() {
            self.aside.spool.clear().map_err(ExportError::Spool)?;
        }
        Ok(())
    }

    fn write_early(&mut self, block: Early) -> Result<(), ExportError> {
        match block {
            Early::Memory(bytes) => {
                self.in_memory -= bytes.len();
                Ok(self.out.write_all(&bytes)?)
            }
            Early::Spooled { offset, len } => {
                let Aside { spool, bytes, .. } = &mut self.aside;
                spool.copy_out(offset, len, bytes, &mut self.out)
            }
        }
    }
}

/// Where a block is written to: straight out, or aside.
pub(crate) enum Sink<'s, 'a> {
    Out(&'s mut BufWriter<Out<'a>>),
    Aside(&'s mut Aside),
}

impl Write for Sink<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Out(out) => out.write_all(bytes),
            Self::Aside(aside) => aside.push(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a block is written that has to wait.
pub(crate) struct Aside {
    /// Its bytes, or those that are not in the spool yet.
    bytes: Vec<u8>,
    /// Where it begins in the spool, once it grew too long for memory.
    spooled: Option<u64>,
    spool: Spool,
}

impl Aside {
    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.bytes.len() + bytes.len() > LONGEST_IN_MEMORY {
            self.spill()?;
            if bytes.len() > LONGEST_IN_MEMORY {
                return self.spool.append(bytes).map(drop);
            }
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn spill(&mut self) -> io::Result<u64> {
        let offset = self.spool.append(&self.bytes)?;
        self.bytes.clear();
        Ok(*self.spooled.get_or_insert(offset))
    }

    fn end(&mut self) -> io::Result<Early> {
        let offset = self.spill()?;
        Ok(Early::Spooled {
            offset,
            len: self.spool.len - offset,
        })
    }
}

/// An unnamed temporary file, made when it is first needed.
struct Spool {
    folder: Option<PathBuf>,
    file: Option<File>,
    len: u64,
    /// Whether the position in the file is its end.
    at_end: bool,
}

impl Spool {
    const fn new(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            file: None,
            len: 0,
            at_end: true,
        }
    }

    /// Appends bytes; gives where they begin.
    fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(temporary_file(self.folder.as_ref())?),
        };
        if !self.at_end {
            file.seek(SeekFrom::Start(self.len))?;
            self.at_end = true;
        }
        file.write_all(bytes)?;
        let offset = self.len;
        self.len += bytes.len() as u64;
        Ok(offset)
    }

    fn copy_out(
        &mut self,
        offset: u64,
        len: u64,
        buffer: &mut Vec<u8>,
        out: &mut impl Write,
    ) -> Result<(), ExportError> {
        let file = self.file.as_mut().expect("a spooled block has a spool");
        self.at_end = false;
        file.seek(SeekFrom::Start(offset))
            .map_err(ExportError::Spool)?;
        copy(file, len, buffer, out)
    }

    /// Forgets the content, when nothing waits any more.
    fn clear(&mut self) -> io::Result<()> {
        if let Some(file) = &mut self.file
            && self.len > 0
        {
            file.set_len(0)?;
            self.len = 0;
            self.at_end = false;
        }
        Ok(())
    }
}

/// Copies bytes of a temporary file, piece by piece, telling errors of reading and writing apart.
pub(crate) fn copy(
    from: &mut File,
    len: u64,
    buffer: &mut Vec<u8>,
    out: &mut impl Write,
) -> Result<(), ExportError> {
    let mut missing = len;
    while missing > 0 {
        buffer.resize(missing.min(LONGEST_IN_MEMORY as u64) as usize, 0);
        from.read_exact(buffer).map_err(ExportError::Spool)?;
        out.write_all(buffer)?;
        missing -= buffer.len() as u64;
    }
    Ok(())
}

/// An unnamed file that goes away with its last handle.
pub(crate) fn temporary_file(folder: Option<&PathBuf>) -> io::Result<File> {
    folder.map_or_else(tempfile::tempfile, tempfile::tempfile_in)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn put(blocks: &mut Blocks<'_>, number: u32, text: &[u8]) {
        let task = TaskId::new(number).unwrap();
        blocks.put(task, |out| Ok(out.write_all(text)?)).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Blocks of all sizes, put in any order, some tasks skipped and some that never come.
        #[test]
        fn blocks_come_out_in_the_order_of_their_tasks(
            sizes in proptest::collection::vec(
                prop_oneof![0_usize..40, Just(70_000), Just(130_000)], 1..24),
            order in any::<u64>(),
        ) {
            let block = |index: usize| vec![b'a' + (index % 26) as u8; sizes[index]];
            let mut tasks: Vec<usize> = (0..sizes.len()).collect();
            tasks.sort_by_key(|index| (order ^ (*index as u64 * 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut out = Vec::new();
            let mut blocks = Blocks::new(Box::new(&mut out), true, None);
            let mut expected = Vec::new();
            for &index in &tasks {
                match index % 7 {
                    3 => blocks.skip(TaskId::from_index(index)).unwrap(),
                    5 if index > 8 => {}
                    _ => put(&mut blocks, index as u32 + 1, &block(index)),
                }
            }
            blocks.finish().unwrap();
            drop(blocks);
            for index in 0..sizes.len() {
                if index % 7 != 3 && !(index % 7 == 5 && index > 8) {
                    expected.extend(block(index));
                }
            }
            prop_assert!(out == expected);
        }
    }

    #[test]
    fn what_waits_takes_little_memory_and_the_file_is_emptied() {
        let mut out = Vec::new();
        let mut blocks = Blocks::new(Box::new(&mut out), true, None);
        let mut expected = b"1".to_vec();
        put(&mut blocks, 1, b"1");
        for round in 0..2 {
            let first = 2 + round * 400;
            for number in (first + 1..first + 400).rev() {
                put(&mut blocks, number, &vec![b'x'; 20_000]);
            }
            assert!(blocks.in_memory <= MOST_IN_MEMORY);
            assert!(blocks.aside.spool.len > 3_000_000);
            put(&mut blocks, first, b"first");
            assert_eq!((blocks.in_memory, blocks.aside.spool.len), (0, 0));
        }
        blocks.finish().unwrap();
        drop(blocks);
        for _ in 0..2 {
            expected.extend(b"first");
            expected.extend(vec![b'x'; 20_000 * 399]);
        }
        assert!(out == expected);
    }

    #[test]
    fn without_order_blocks_go_out_as_they_come() {
        let mut out = Vec::new();
        let mut blocks = Blocks::new(Box::new(&mut out), false, None);
        for (number, text) in [(3, b"c"), (1, b"a"), (2, b"b")] {
            put(&mut blocks, number, text);
        }
        blocks.finish().unwrap();
        drop(blocks);
        assert_eq!(out, b"cab");
    }
}
