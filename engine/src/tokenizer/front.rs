//! Taking items from the front of a vector.

/// Drops the first `count` items. Written so that the compiler sees that it can't panic.
pub(crate) fn drop_front<T: Copy, const N: usize>(items: &mut heapless::Vec<T, N>, count: usize) {
    let left = items.len().saturating_sub(count);
    for at in 0..left {
        if let Some(&item) = items.get(at + count)
            && let Some(place) = items.get_mut(at)
        {
            *place = item;
        }
    }
    items.truncate(left);
}
