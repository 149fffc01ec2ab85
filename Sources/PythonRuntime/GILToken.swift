/// Proof that the calling thread is attached to an interpreter, which is to say that it holds that one's GIL.
///
/// Functions that give a kept reference back, give the GIL up, or may be reached from a thread without it, ask for one.
/// Only this room makes them: `Attachment.run` and what it is made of, and the functions that Python calls. A token is lent and
/// can be neither copied nor kept, so that it does not outlive the GIL that it stands for; at run time there is nothing of it.
///
/// It does not say which interpreter's GIL that is, nor is it taken away while `detached` runs; and functions that make and read
/// objects (`PyRef.dict`, `PyObj.call`) do not ask for it, as their callers have one.
public struct GILToken: ~Copyable {
  @inline(__always) init() {}
}
