//! A file as a stream of pieces, each read on a blocking thread when it is asked for.

use std::fs::File;
use std::io::Read;

use bytes::Bytes;
use futures_util::stream::{self, Stream};

/// Size of a piece: what one download holds in memory.
const PIECE_BYTES: usize = 256 << 10;

/// Reads a file to its end. No thread is held while the client is slow.
pub(crate) fn file_stream(file: File) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::try_unfold(file, |file| async move {
        let read = tokio::task::spawn_blocking(move || next_piece(file));
        read.await.map_err(std::io::Error::other)?
    })
}

fn next_piece(mut file: File) -> std::io::Result<Option<(Bytes, File)>> {
    let mut piece = vec![0; PIECE_BYTES];
    let bytes = file.read(&mut piece)?;
    if bytes == 0 {
        return Ok(None);
    }
    piece.truncate(bytes);
    Ok(Some((piece.into(), file)))
}
