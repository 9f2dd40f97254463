//! How the elements of a program are divided where reductions end it.

use crate::kernels::reduce::Axis;
use smallvec::SmallVec;

/// The elements are folded a batch at a time, of the coarsest of the reductions. The others are done within a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Division {
    /// The coarsest.
    pub(super) main: Axis,
    /// The elements of a place of the coarsest of the others, which those of all finer ones divide; 0 if there is none.
    pub(super) fine: usize,
}

/// The elements from which results for one place before the axis are made.
fn unit(axis: &Axis) -> usize {
    axis.n * axis.inner
}

impl Division {
    /// The division for these; `None` if there are none, or if one cannot be done beside the others.
    pub(crate) fn of(axes: &[Axis]) -> Option<Division> {
        let main = *axes.iter().max_by_key(|axis| unit(axis))?;
        // Where a batch has but a piece of the axis, the last may be shorter.
        let whole = [main.piece() * main.inner, unit(&main)];
        let others = || axes.iter().filter(|&&axis| axis != main);
        let mut units: SmallVec<[usize; 4]> = others().map(unit).collect();
        units.sort_unstable();
        let fine = units.last().copied().unwrap_or(0);
        let divides = |a: usize, b: usize| b.is_multiple_of(a.max(1));
        let fits = others().all(|axis| axis.piece() == axis.n)
            && units.windows(2).all(|two| divides(two[0], two[1]))
            && whole.iter().all(|&whole| divides(fine, whole));
        fits.then_some(Division { main, fine })
    }

    /// How many elements a batch has: those of a piece, or as many whole places before the axis as a block has.
    pub(super) fn batch(&self, block: usize) -> usize {
        let Axis { n, inner, .. } = self.main;
        let piece = self.main.piece() * inner;
        if self.main.piece() == n { (block / piece).max(1) * piece } else { piece }
    }

    /// After how many elements of a batch the finer ones are done.
    pub(super) fn step(&self, block: usize) -> usize {
        match self.fine {
            0 => usize::MAX,
            fine => (block / fine).max(1) * fine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(outer: usize, n: usize, inner: usize) -> Axis {
        Axis { outer, n, inner }
    }

    #[test]
    fn reductions_within_each_other_are_done_together_and_others_are_not() {
        let (last, middle, first) = (axis(200_000, 8, 1), axis(500, 400, 8), axis(1, 500, 3200));
        let division = |main, fine| Some(Division { main, fine });
        assert_eq!(Division::of(&[]), None);
        assert_eq!(Division::of(&[middle, middle]), division(middle, 0));
        assert_eq!(Division::of(&[first, last, middle]), division(first, 3200));
        assert_eq!(Division::of(&[last, first]), division(first, 8));
        // Over all: in pieces that end within the rows of the others, or do not.
        let all = axis(1, 1_600_000, 1);
        assert_eq!(Division::of(&[all, middle]), None);
        assert_eq!(Division::of(&[all, last]), division(all, 8));
        assert_eq!(Division::of(&[axis(1, 24, 1), axis(3, 8, 1)]), division(axis(1, 24, 1), 8));
    }
}
