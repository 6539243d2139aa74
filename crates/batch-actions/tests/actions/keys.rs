//! One batch for a key, whatever happens to who makes it.

use batch_store::{BatchFile, Durability, Store};

use crate::common::{Place, task};

#[test]
fn a_batch_whose_maker_died_before_its_tasks_were_in_it_is_made_anew() {
    let place = Place::new();
    let first = place.add_new(Some("k"), vec![task("fine")]).unwrap();
    // As it is after a death between the key and the commit of the tasks.
    let file = BatchFile::new(&first.file);
    file.remove().unwrap();
    let half = place.home.create(&place.request(Some("k"))).unwrap();
    let (number, path) = (half.batch(), half.file().path().to_owned());
    drop(half);
    std::fs::rename(path, file.path()).unwrap();

    let again = place.add_new(Some("k"), vec![task("fine")]).unwrap();
    assert_eq!((again.added, again.existing), (1, 0));
    assert_ne!(again.batch, number.to_string());
    let known = place.add_new(Some("k"), vec![task("fine")]).unwrap();
    assert_eq!(known.batch, again.batch);
    assert_eq!((known.added, known.existing), (0, 1));
    assert!(!known.running);
    let left = place.home.batches_there().unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_key_that_cannot_be_read_makes_no_second_batch() {
    let place = Place::new();
    place.add_new(Some("k"), vec![task("fine")]).unwrap();
    let keys = place.path().join("batches/keys");
    let key = std::fs::read_dir(&keys).unwrap().next().unwrap().unwrap();
    std::fs::remove_file(key.path()).unwrap();
    std::fs::create_dir(key.path()).unwrap();
    let refused = place.add_new(Some("k"), vec![task("fine")]).unwrap_err();
    assert!(refused.to_string().starts_with("cannot read "), "{refused}");
}

#[test]
fn a_batch_that_got_the_number_of_another_is_not_that_of_its_key() {
    let place = Place::new();
    let first = place.add_new(Some("k"), vec![task("fine")]).unwrap();
    BatchFile::new(&first.file).remove().unwrap();
    std::fs::write(place.path().join("batches/.ids"), "").unwrap();
    let other = place.add_new(None, vec![task("bad")]).unwrap();
    assert_eq!(other.batch, first.batch);
    let again = place.add_new(Some("k"), vec![task("fine")]).unwrap();
    assert_ne!(again.batch, other.batch);
    assert!(other.file.exists());
}

#[test]
fn a_batch_elsewhere_has_its_key_as_well() {
    let place = Place::new();
    let mut request = place.request(Some("k"));
    request.file = Some(place.path().join("else where.db"));
    let add = || place.add(request.clone(), vec![task("fine")]).unwrap();
    let (first, again) = (add(), add());
    assert_eq!((first.added, again.existing), (1, 1));
    assert_eq!(first.file, again.file);
}

#[test]
fn the_content_of_a_key_is_written_with_its_tasks() {
    let place = Place::new();
    let added = place.add_new(Some("k"), vec![task("fine")]).unwrap();
    let store = Store::open(BatchFile::new(added.file), Durability::Fast).unwrap();
    assert!(store.extra("content").unwrap().is_some());
}
