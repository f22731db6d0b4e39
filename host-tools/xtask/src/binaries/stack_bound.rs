//! The most stack that a program can need, read from its instructions: a bound to stand beside what was measured.
//!
//! A function takes what its instructions subtract from the stack pointer, and what the deepest of its callees takes. A
//! call of a computed address is a closure's or a trait object's: closures lie in frames further up, so it may lead to
//! the functions whose address was taken by somebody from whom the caller is reached. What a function pointer in a structure
//! leads to may be unknown: such a caller is printed, and its callee isn't in the bound. Functions that may call each other
//! count once each.

use crate::binaries::callgraph::CallGraph;
use crate::boards::emulated::named;
use crate::checks::stack_in_use::{self, Painted};
use anyhow::{Result, ensure};
use jamlet_boards::{BOARDS, Flashing};
use jamlet_tools::firmware::build::Build;
use jamlet_tools::firmware::program::Program;
use std::collections::{BTreeMap, BTreeSet, HashMap};

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
        let calls = Calls::of(&graph, root.address);
        let mut bound = Self::default();
        for &at in calls.targets.keys() {
            let Some(function) = graph.at(at) else { continue };
            if function.dynamic {
                bound.dynamic.insert(function.name.clone());
            }
            if function.indirect > 0 && calls.indirect.get(&at).is_none_or(BTreeSet::is_empty) {
                bound.unresolved.insert(function.name.clone());
            }
        }
        let components = Components::of(&calls);
        for component in components.members.iter().filter(|component| component.len() > 1) {
            bound.recursive.extend(component.iter().filter_map(|&at| Some(graph.at(at)?.name.clone())));
        }
        let mut deepest = components.deepest(&graph, &calls, root.address);
        if let Ok(handler) = graph.named("SysTick") {
            let calls = Calls::of(&graph, handler.address);
            let in_handler = Components::of(&calls).deepest(&graph, &calls, handler.address);
            deepest.0 += EXCEPTION + in_handler.0;
            deepest.1.push(("an interrupt".into(), EXCEPTION));
            deepest.1.extend(in_handler.1);
        }
        Ok(Self { bytes: deepest.0, way: deepest.1, ..bound })
    }
}

/// Whether a function may be given a closure to call.
fn may_call(function: &str, closure: &str) -> bool {
    // A closure that is called by value would have to be in a box.
    let boxed = closure.ends_with("{{vtable.shim}}");
    let of =
        |name: &str, modules: &[&str]| modules.iter().any(|module| name.trim_start_matches('<').starts_with(module));
    let text = ["jamlet::tokenizer", "jamlet::prompt_encoder"];
    let computing = ["jamlet::layers", "jamlet::kernels", "jamlet::matrix", "jamlet::state"];
    // Calls run downward only, see the engine's `lib.rs`: what computes is given nothing of texts, and the tokenizer nothing of what
    // computes. The tokenizer's own closures stay in it.
    let upward = of(function, &computing) && !of(closure, &computing)
        || of(function, &text)
            && of(closure, &["jamlet::session", "jamlet::beams", "jamlet::layers", "jamlet::kernels"])
        || of(closure, &text) && !of(function, &text)
        || of(function, &["jamlet::session"]) && of(closure, &["jamlet_app", "jamlet::layers", "jamlet::kernels"]);
    !(boxed || upward)
}

/// Bytes, and where they go.
type Depth = (u64, Vec<(String, u64)>);

/// Who may call whom, of all that is reached from a function. A computed address is that of any function whose address was taken by
/// somebody from whom the caller is reached.
#[derive(Default)]
struct Calls {
    targets: BTreeMap<u64, BTreeSet<u64>>,
    /// Those of them at computed addresses.
    indirect: BTreeMap<u64, BTreeSet<u64>>,
}

impl Calls {
    fn of(graph: &CallGraph, root: u64) -> Self {
        let mut calls = Self::default();
        loop {
            let reached = calls.reached(graph, root);
            let before: usize = calls.indirect.values().map(BTreeSet::len).sum();
            for &taker in &reached {
                let Some(function) = graph.at(taker).filter(|function| !function.takes.is_empty()) else { continue };
                for caller in calls.reached(graph, taker) {
                    let Some(caller) = graph.at(caller).filter(|caller| caller.indirect > 0) else { continue };
                    let taken = function.takes.iter().map(|&at| at & !1);
                    let callable =
                        taken.filter(|&at| graph.at(at).is_some_and(|taken| may_call(&caller.name, &taken.name)));
                    calls.indirect.entry(caller.address).or_default().extend(callable);
                }
            }
            if calls.indirect.values().map(BTreeSet::len).sum::<usize>() == before {
                calls.targets = reached.into_iter().map(|at| (at, calls.targets_of(graph, at))).collect();
                return calls;
            }
        }
    }

    fn targets_of(&self, graph: &CallGraph, at: u64) -> BTreeSet<u64> {
        let direct = graph.at(at).into_iter().flat_map(|function| function.calls.iter().map(|&(_, to)| to & !1));
        direct
            .chain(self.indirect.get(&at).into_iter().flatten().copied())
            .filter(|&to| graph.at(to).is_some())
            .collect()
    }

    /// Everything that may be called from a function on, itself included.
    fn reached(&self, graph: &CallGraph, from: u64) -> BTreeSet<u64> {
        let (mut reached, mut open) = (BTreeSet::from([from]), vec![from]);
        while let Some(at) = open.pop() {
            open.extend(self.targets_of(graph, at).into_iter().filter(|&to| reached.insert(to)));
        }
        reached
    }
}

/// Functions that may call each other, directly or not (Tarjan 1972), callees before callers. A stack has each of a component's
/// functions once at most, so that its depth is at most the sum of their frames.
#[derive(Default)]
struct Components {
    members: Vec<Vec<u64>>,
    index: HashMap<u64, usize>,
    low: HashMap<u64, usize>,
    open: Vec<u64>,
    of: HashMap<u64, usize>,
}

impl Components {
    fn of(calls: &Calls) -> Self {
        let mut components = Self::default();
        for &at in calls.targets.keys() {
            if !components.index.contains_key(&at) {
                components.visit(calls, at);
            }
        }
        components
    }

    fn visit(&mut self, calls: &Calls, at: u64) {
        let number = self.index.len();
        self.index.insert(at, number);
        self.low.insert(at, number);
        self.open.push(at);
        for &to in calls.targets.get(&at).into_iter().flatten() {
            if !self.index.contains_key(&to) {
                self.visit(calls, to);
                self.low.insert(at, self.low[&at].min(self.low[&to]));
            } else if !self.of.contains_key(&to) {
                self.low.insert(at, self.low[&at].min(self.index[&to]));
            }
        }
        if self.low[&at] == number {
            let mut members = Vec::new();
            while let Some(member) = self.open.pop() {
                self.of.insert(member, self.members.len());
                members.push(member);
                if member == at {
                    break;
                }
            }
            self.members.push(members);
        }
    }

    /// The deepest way from a function on.
    fn deepest(&self, graph: &CallGraph, calls: &Calls, root: u64) -> Depth {
        let mut depths: Vec<Depth> = Vec::new();
        for (number, members) in self.members.iter().enumerate() {
            let mut deepest: Depth = (0, Vec::new());
            for to in members.iter().filter_map(|member| calls.targets.get(member)).flatten() {
                let Some(depth) = self.of.get(to).filter(|&&to| to != number).and_then(|&to| depths.get(to)) else {
                    continue;
                };
                if depth.0 > deepest.0 {
                    deepest = depth.clone();
                }
            }
            for function in members.iter().filter_map(|&member| graph.at(member)) {
                deepest.0 += function.frame;
                deepest.1.insert(0, (function.name.clone(), function.frame));
            }
            depths.push(deepest);
        }
        self.of.get(&root).and_then(|&number| depths.get(number)).cloned().unwrap_or_default()
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
