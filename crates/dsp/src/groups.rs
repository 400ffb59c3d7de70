//! Which routes of a copier travel together: channels that lie side by side in interleaved memory.

use crate::copier::Route;
use crate::rows::Weave;

/// Routes that travel together, and those that are left.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    pub(crate) groups: Box<[Group]>,
    pub(crate) rest: Box<[Route]>,
}

/// Routes of channels side by side on the interleaved side.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) weave: Weave,
    /// The first channel on the interleaved side.
    pub(crate) first: usize,
    /// The channels on the planar side.
    pub(crate) planes: Box<[usize]>,
    pub(crate) routes: Box<[Route]>,
}

impl Groups {
    /// Groups of eight where `eight` is there, and the two channels of stereo where `two` is. `sides` gives a route's channel
    /// on the interleaved and on the planar side; the interleaved side has `channels`.
    pub(crate) fn new(
        two: Option<Weave>,
        eight: Option<Weave>,
        channels: u16,
        routes: &[Route],
        sides: fn(&Route) -> (u16, u16),
    ) -> Self {
        let mut sorted: Vec<Route> = routes.to_vec();
        sorted.sort_by_key(|route| sides(route).0);
        // One source channel may lead to several destinations: the first goes with the group.
        sorted.dedup_by_key(|route| sides(route).0);
        let mut groups: Vec<Group> = Vec::new();
        let mut at = 0;
        while at < sorted.len() {
            let weave = if channels == 2 { two.map(|w| (w, 2)) } else { eight.map(|w| (w, 8)) };
            let group = weave.and_then(|(weave, count)| {
                let routes = sorted.get(at..at + count)?;
                let side_by_side = routes.windows(2).all(|r| sides(&r[0]).0 + 1 == sides(&r[1]).0);
                side_by_side.then(|| Group {
                    weave,
                    first: usize::from(sides(&routes[0]).0),
                    planes: routes.iter().map(|route| usize::from(sides(route).1)).collect(),
                    routes: routes.into(),
                })
            });
            at += group.as_ref().map_or(1, |group| group.routes.len());
            groups.extend(group);
        }
        let taken = |route: &Route| groups.iter().any(|group| group.routes.contains(route));
        let rest = routes.iter().filter(|route| !taken(route)).copied().collect();
        Self { groups: groups.into(), rest }
    }
}
