/// Proof that the calling thread is attached to an interpreter, which is to say that it holds that one's GIL.
///
/// Whatever gives a kept reference back, gives the GIL up for a while, or may be reached from a thread without it, asks for one.
/// Only this room makes them: `Attachment.run` and what it is made of, and the functions that Python calls. A token is lent and
/// can be neither copied nor kept, so that it does not outlive the GIL that it stands for; at run time there is nothing of it.
///
/// It does not say which interpreter's GIL that is, nor is it taken away while `detached` runs; and what makes and reads objects
/// (`PyRef.dict`, `PyObj.call`) does not ask for it, as those who call that have been called with one.
public struct GILToken: ~Copyable {
  @inline(__always) init() {}
}
