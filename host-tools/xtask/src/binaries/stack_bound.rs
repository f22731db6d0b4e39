//! The most stack that a program can need, read from its instructions: a bound to stand beside what was measured.
//!
//! A function takes what its instructions subtract from the stack pointer, and what the deepest of its callees takes. A
//! call of a computed address is a closure's or a trait object's: closures lie in frames further up, so it may lead to
//! whatever a function on the way here took the address of. One that is running already is left out: nothing calls a
//! closure again that it has borrowed.

use crate::binaries::callgraph::{CallGraph, Function};
use crate::boards::emulated::named;
use crate::checks::stack_in_use::{self, Painted};
use anyhow::{Result, ensure};
use jamlet_boards::{BOARDS, Flashing};
use jamlet_tools::firmware::build::Build;
use jamlet_tools::firmware::program::Program;
use std::collections::{BTreeSet, HashMap};

/// Arguments of the command.
#[derive(clap::Args)]
pub struct Args {
    /// Boards by name; all without a HAL if none is given.
    boards: Vec<String>,
    /// Only the bound: types nothing at the boards.
    #[arg(long)]
    bound: bool,
}

/// A program must not use more stack than this, nor need more by its instructions.
pub const MOST_STACK: u64 = 8 << 10;

/// Where a Cortex-M begins.
pub const RESET: &str = "Reset";

/// Prints the bound of every board without a HAL and the way to it, and what was seen in use.
///
/// # Errors
/// When a board can't be built, or used more than the bound; when the bound is more than the limit.
pub fn run(args: &Args) -> Result<()> {
    for target in BOARDS.iter().filter(|board| board.flashing == Flashing::Emulator) {
        if !args.boards.is_empty() && !args.boards.iter().any(|board| board == target.name) {
            continue;
        }
        let program = Program::read(&Build::of(target).run()?)?;
        let bound = Bound::of(&program, RESET)?;
        println!("{}: at most {} bytes, of {MOST_STACK}", target.name, bound.bytes);
        for (function, bytes) in &bound.way {
            println!("{bytes:6}  {function}");
        }
        for (what, functions) in [
            ("calls something unknown", &bound.unresolved),
            ("may call itself, counted once", &bound.recursive),
            ("takes a computed number of bytes", &bound.dynamic),
        ] {
            functions.iter().for_each(|function| println!("{what}: {function}"));
        }
        ensure!(bound.bytes <= MOST_STACK, "{}: the bound is above the limit", target.name);
        if args.bound {
            continue;
        }
        let board = named(target.name)?;
        let Painted { inputs, bytes, deepest } = stack_in_use::worst(board)?;
        println!("{}: {bytes} bytes in use after {inputs} inputs of the fuzzer, no more after {deepest}", target.name);
        ensure!(bytes <= bound.bytes, "{}: more than the bound of {} bytes", target.name, bound.bytes);
    }
    Ok(())
}

/// What a program can need.
#[derive(Clone, Debug, Default)]
pub struct Bound {
    /// Bytes.
    pub bytes: u64,
    /// The deepest way, from the start: functions and their bytes.
    pub way: Vec<(String, u64)>,
    /// Functions that call computed addresses of which nothing on the way knows.
    pub unresolved: BTreeSet<String>,
    /// Functions that may call themselves, directly or not; each is counted once.
    pub recursive: BTreeSet<String>,
    /// Functions that take a computed number of bytes.
    pub dynamic: BTreeSet<String>,
}

/// What an interrupt saves on a Cortex-M with floating point, aligned (ARMv7-M, B1.5.7).
const EXCEPTION: u64 = 104 + 8;

impl Bound {
    /// The bound for a program that begins with function `start`; on a Cortex-M, with an interrupt at the deepest moment.
    ///
    /// # Errors
    /// When there is no such function.
    pub fn of(program: &Program, start: &str) -> Result<Self> {
        let graph = CallGraph::read(program)?;
        let root = graph.named(start)?;
        ensure!(root.size > 0, "{start} has no instructions");
        let mut walk = Walk { graph: &graph, known: HashMap::new(), reach: HashMap::new(), bound: Self::default() };
        let mut deepest = walk.down(root, &mut Vec::new(), &BTreeSet::new());
        if let Ok(handler) = graph.named("SysTick") {
            let in_handler = walk.down(handler, &mut Vec::new(), &BTreeSet::new());
            deepest.0 += EXCEPTION + in_handler.0;
            deepest.1.push(("an interrupt".into(), EXCEPTION));
            deepest.1.extend(in_handler.1);
        }
        Ok(Self { bytes: deepest.0, way: deepest.1, ..walk.bound })
    }
}

/// Whether a function may be given a closure to call.
fn may_call(function: &str, closure: &str) -> bool {
    // A closure that is called by value would have to be in a box.
    let boxed = closure.ends_with("{{vtable.shim}}");
    // What computes knows nothing of text: calls run downward only, see the engine's `lib.rs`.
    let of =
        |name: &str, modules: &[&str]| modules.iter().any(|module| name.trim_start_matches('<').starts_with(module));
    let computes = of(function, &["jamlet::layers", "jamlet::kernels"]);
    let above = of(closure, &["jamlet::tokenizer", "jamlet::summary", "jamlet_app"]);
    !(boxed || computes && above)
}

/// Bytes, and where they go.
type Depth = (u64, Vec<(String, u64)>);

/// A function, and the functions whose address was taken on the way to it.
type Place = (u64, BTreeSet<u64>);

struct Walk<'g> {
    graph: &'g CallGraph,
    /// Depths by place, and by what of the way there could be called again, which is left out.
    known: HashMap<(Place, BTreeSet<u64>), Depth>,
    reach: HashMap<Place, BTreeSet<u64>>,
    bound: Bound,
}

impl Walk<'_> {
    /// The depth from `function` on.
    fn down(&mut self, function: &Function, way: &mut Vec<u64>, taken: &BTreeSet<u64>) -> Depth {
        let mut taken = taken.clone();
        taken.extend(&function.takes);
        way.push(function.address);
        let mut place = (function.address, taken);
        let reach = self.reach(&place);
        // What nothing from here on can call makes no difference.
        let callers: Vec<&Function> = reach.iter().chain([&function.address]).filter_map(|at| self.graph.at(*at)).collect();
        let callers: Vec<&Function> = callers.into_iter().filter(|caller| caller.indirect > 0).collect();
        place.1.retain(|at| {
            let closure = self.graph.at(*at);
            closure.is_some_and(|closure| callers.iter().any(|caller| may_call(&caller.name, &closure.name)))
        });
        let key = (place, way.iter().copied().filter(|passed| reach.contains(passed)).collect());
        if let Some(depth) = self.known.get(&key) {
            way.pop();
            return depth.clone();
        }
        let taken = &key.0.1;
        for target in function.calls.iter().map(|&(_, to)| to & !1).filter(|target| way.contains(target)) {
            self.bound.recursive.extend(self.graph.at(target).map(|function| function.name.clone()));
        }
        if function.dynamic {
            self.bound.dynamic.insert(function.name.clone());
        }
        if function.indirect > 0 && taken.is_empty() {
            self.bound.unresolved.insert(function.name.clone());
        }
        let mut deepest: Depth = (0, Vec::new());
        for target in
            self.targets(function, taken).into_iter().filter(|target| !way.contains(target)).collect::<Vec<_>>()
        {
            let Some(callee) = self.graph.at(target) else { continue };
            let depth = self.down(callee, way, taken);
            if depth.0 > deepest.0 {
                deepest = depth;
            }
        }
        way.pop();
        deepest.0 += function.frame;
        deepest.1.insert(0, (function.name.clone(), function.frame));
        self.known.insert(key, deepest.clone());
        deepest
    }

    /// What a function may call where these addresses were taken.
    fn targets(&self, function: &Function, taken: &BTreeSet<u64>) -> BTreeSet<u64> {
        let mut targets: BTreeSet<u64> = function.calls.iter().map(|&(_, to)| to & !1).collect();
        if function.indirect > 0 {
            let callable =
                |at: &&u64| self.graph.at(**at).is_some_and(|closure| may_call(&function.name, &closure.name));
            targets.extend(taken.iter().filter(callable));
        }
        targets
    }

    /// Everything that may be called from a place on, directly or not, whatever addresses are taken on the way.
    fn reach(&mut self, place: &Place) -> BTreeSet<u64> {
        if let Some(reach) = self.reach.get(place) {
            return reach.clone();
        }
        let (mut reach, mut taken) = (BTreeSet::new(), place.1.clone());
        loop {
            let before = (reach.len(), taken.len());
            let from: Vec<u64> = reach.iter().copied().chain([place.0]).collect();
            for function in from.into_iter().filter_map(|at| self.graph.at(at)) {
                taken.extend(&function.takes);
                reach.extend(self.targets(function, &taken));
            }
            if before == (reach.len(), taken.len()) {
                break;
            }
        }
        self.reach.insert(place.clone(), reach.clone());
        reach
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jamlet_tools::firmware::program::{Segment, Symbol};

    /// push {r4, lr}; bl; sub sp, #16; a leaf of push {r4-r7, lr}.
    #[test]
    fn frames_add_up_along_the_deepest_way() {
        let code: [u16; 8] = [0xB510, 0xB084, 0xF000, 0xF802, 0xBD10, 0x0000, 0xB5F0, 0xBDF0];
        let function = |name: &str, address, size| Symbol { name: name.into(), address, size, code: true };
        let program = Program {
            entry: 1,
            segments: vec![Segment { address: 0, bytes: code.iter().flat_map(|half| half.to_le_bytes()).collect() }],
            sections: Vec::new(),
            symbols: vec![function("main", 0, 10), function("leaf", 12, 4)],
            data: Vec::new(),
            wide: false,
        };
        let bound = Bound::of(&program, "main").unwrap();
        assert_eq!(bound.bytes, (8 + 16) + 20);
        assert_eq!(bound.way, [("main".to_owned(), 24), ("leaf".to_owned(), 20)]);
    }
}
