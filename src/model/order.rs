//! Sorts by long names with common prefixes, as series and Carbon paths are. Compares eight bytes at a time, after the
//! common prefix of a group of names; comparing whole names takes three times as long.

/// Up to this many names are compared whole.
const FEW: usize = 16;

/// A list with at most this many places out of order is compared whole, which is fast for such a list.
const ALMOST: usize = 16;

/// Sorts by name, then by `later`; the sort is stable. Returns whether two names are equal.
pub fn sort_by_name<T, L: Ord>(list: &mut [T], name: impl Fn(&T) -> &str, later: impl Fn(&T) -> L) -> bool {
    let by_both = |a: &T, b: &T| name(a).cmp(name(b)).then_with(|| later(a).cmp(&later(b)));
    let (mut wrong, mut has_equal) = (0, false);
    for two in list.windows(2) {
        let order = name(&two[0]).cmp(name(&two[1]));
        has_equal |= order.is_eq();
        wrong += usize::from(order.then_with(|| later(&two[0]).cmp(&later(&two[1]))).is_gt());
        if wrong > ALMOST {
            break;
        }
    }
    if wrong > ALMOST {
        let names: Vec<&[u8]> = list.iter().map(|one| name(one).as_bytes()).collect();
        let mut order: Vec<_> = (0..names.len()).map(|at| (0, at)).collect();
        has_equal = sort(&names, &mut order, 0);
        arrange(list, &mut order);
        if has_equal {
            list.sort_by(by_both);
        }
    } else if wrong > 0 {
        list.sort_by(by_both);
        has_equal = list.windows(2).any(|two| name(&two[0]) == name(&two[1]));
    }
    has_equal
}

/// Reorders `list` so that the member at `order[i].1` comes to place `i`.
fn arrange<T>(list: &mut [T], order: &mut [(u64, usize)]) {
    for first in 0..list.len() {
        let mut to = first;
        loop {
            let from = std::mem::replace(&mut order[to].1, to);
            if from == first || from == to {
                break;
            }
            list.swap(to, from);
            to = from;
        }
    }
}

/// Sorts the indices of names that are equal in the first `from` bytes; the other number of each pair is scratch space.
/// Returns whether two names are equal.
fn sort(names: &[&[u8]], group: &mut [(u64, usize)], from: usize) -> bool {
    let rest = |at: usize| names[at].get(from..).unwrap_or_default();
    if group.len() <= FEW {
        group.sort_unstable_by(|a, b| (rest(a.1), a.1).cmp(&(rest(b.1), b.1)));
        return group.windows(2).any(|two| rest(two[0].1) == rest(two[1].1));
    }
    let first = rest(group[0].1);
    let alike = |other: &[u8], most: usize| match other.starts_with(&first[..most]) {
        true => most,
        false => first.iter().zip(other).take_while(|(a, b)| a == b).count(),
    };
    let common = group.iter().fold(first.len(), |most, (_, at)| alike(rest(*at), most));
    for (key, at) in group.iter_mut() {
        let mut bytes = [0; 8];
        let behind = &rest(*at)[common..];
        let length = behind.len().min(8);
        bytes[..length].copy_from_slice(&behind[..length]);
        *key = u64::from_be_bytes(bytes);
    }
    group.sort_unstable();
    let mut has_equal = false;
    for group in group.chunk_by_mut(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
        // Names have no zero byte, so names that end here are equal, and already in order.
        has_equal |= group[0].0 & 0xff == 0 || sort(names, group, from + common + 8);
    }
    has_equal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_sorts_as_the_standard_library_does(
            list in prop::collection::vec(("(grid_(jobs|vms),)?(cloud=cc-east-){0,3}[ab]{0,12}", 0..3), 0..200),
        ) {
            let (mut sorted, mut expected) = (list.clone(), list);
            let has_equal = sort_by_name(&mut sorted, |one| &one.0, |_| ());
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            prop_assert_eq!(&sorted, &expected, "stable");
            prop_assert_eq!(has_equal, expected.windows(2).any(|two| two[0].0 == two[1].0));
            prop_assert_eq!(sort_by_name(&mut sorted, |one| &one.0, |_| ()), has_equal);
            sort_by_name(&mut sorted, |one| &one.0, |one| one.1);
            expected.sort();
            prop_assert_eq!(sorted, expected);
        }
    }
}
