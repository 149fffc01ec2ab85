import WSGICore

extension Supervisor {
  /// A group with its workers.
  final class Group {
    /// Of a tenant's group without a user until that has been looked up.
    var plan: GroupPlan
    let scoreboard: GroupScoreboard
    var workers: [Worker] = []
    /// Where workers are forks of it: the process that loads the group's scripts, or has loaded them.
    var preloader: Worker?
    /// All of its preloaders that live: one for changed scripts, others that are about to end.
    var preloaders: [Worker] = []
    /// Workers start as in other groups until scripts change: none of them can be forked.
    var startsOrdinarily: Bool
    /// Since when a preloader has had nothing to do.
    var preloaderIdleSince: Int64?
    /// Changes that do not load. A worker that is forked with the old code finds them once more.
    var refusedChanges: [ScriptChange] = []
    var backoff = RestartBackoff()
    var pace: StartPace
    var reload: Reload?
    /// When the next attempt may be made at a script whose import failed.
    var nextRetry: Int64 = 0
    /// Its queue has come to its end, or everything ends: no worker is started any more.
    var isFinished = false
    /// Its place among the groups, by which httpd's children name it.
    let place: Int
    var queue: RenewableQueue
    /// The files of `plan`, or those that were made on demand.
    var sharedFile: Int32
    var activity: Int32
    var activities: WorkerScoreboard?
    /// Keeps the queues of its session slots; -1: it has none.
    var sessionQueues: Int32
    /// When the log may say again that its queue cannot be made.
    var nextComplaint: Int64 = 0
    /// Since when a group that is made on demand has had no process.
    var unusedSince: Int64?
    /// Whose it is, where it was made of a template.
    let tenancy: Tenancy?
    /// When its next process may start, by the rate of its template; nil: it has no turn.
    var turn: Int64?
    /// Since when it has had nothing to do, as far as that has been looked at.
    var idleSince: Int64 = 0
    /// Some process has run a request since demand was last counted.
    var hasRun = false
    /// It ends its processes, and then itself, to make room for another.
    var isMakingRoom = false
    /// How often the queue has been renewed.
    var queueNumber = 0
    /// When a queue that was shut down is renewed; nil: it works. No worker is started before.
    var renewAt: Int64?
    /// Since when the write ends are closed, but messages are left.
    var endingSince: Int64?
    /// The scoreboard that was last given, and when.
    var metrics: [UInt8]?
    var metricsGiven: Int64 = 0
    var hasReportedFullSlots = false
    var hasReportedSize = false
    /// Its control group has been made ready, or could not be.
    var hasControlGroup = false
    var lacksControlGroup = false
    /// Of all its processes, outside of requests.
    var outputLimit = OutputLimit(.processes)
    /// Of a service group: none is started beside them.
    var predecessors: [EndingService] = []
    /// How many processes it needs now.
    var demand: Demand
    /// When its queue is looked at next, where a request waits there.
    var nextLook: Int64 = .max
    /// Output of workers that have ended, which their own children may still write to.
    var leftovers: [WorkerOutput] = []

    /// The state that was last published.
    var published = GroupScoreboard.State()
    /// nil: what an earlier supervisor published.
    var publishedPreloaders: [GroupScoreboard.PreloaderEntry]?
    /// It is among those to be looked at before the loop waits.
    var isEventful = false
    /// When it is to be looked at next, as `Schedule` has it.
    var scheduled: Int64 = .max
    /// It is finished, and no worker is left.
    var isOver = false

    init(_ plan: GroupPlan, _ scoreboard: GroupScoreboard, place: Int, tenancy: Tenancy? = nil) {
      self.plan = plan
      self.tenancy = tenancy
      self.place = place
      sharedFile = plan.sharedFile
      activity = plan.activity
      activities = plan.workers
      sessionQueues = plan.sessionQueues
      self.scoreboard = scoreboard
      queue = plan.queue
      startsOrdinarily = !(tenancy.map { $0.script != nil } ?? plan.preloads)
      pace = StartPace(processes: plan.processes)
      demand = Demand(
        minimum: plan.minimumProcesses, maximum: plan.processes, threads: plan.settings.threads, idleTimeout: plan.idleTimeout)
    }

    /// A command has stopped it.
    var isHalted: Bool { scoreboard.isHalted }

    /// Its workers and preloaders.
    var processes: [Worker] { workers + preloaders }

    /// No worker is to be started before this time.
    var notBefore: Int64 { max(backoff.notBefore, pace.notBefore, turn ?? 0) }

    /// Whether one more record of a process of the group, from wherever it comes, goes into the log.
    func mayLog(bytes: Int, of output: WorkerOutput, now: Int64) -> Bool {
      output.limit.take(bytes: bytes, now: now) && outputLimit.take(bytes: bytes, now: now)
    }

    var active: Int { workers.count { $0.isActive } }
    var ready: Int { workers.count { $0.state == .ready } }
    var starting: Int { workers.count { $0.state == .starting } }

    /// A changed script on its way into the group.
    struct Reload {
      enum Phase: Equatable {
        case loading
        /// The old workers have been told to drain; those that have not said so yet.
        case switching(waitingFor: Set<UInt64>, until: Int64)
      }

      var changes: [ScriptChange]
      var candidates: [Worker]
      /// Loads the changed scripts, and is then forked for the candidates.
      var preloader: Worker?
      /// Candidates were started from it.
      var hasCandidates = false
      /// A script does not load in it.
      var hasFailedToLoad = false
      /// Workers that were there before: they make room.
      var old: Set<UInt64>
      var started: Int64
      /// When the newest of the changes was reported.
      var lastChange: Int64 = .min
      /// A script whose import failed is tried again: only workers in which one did make room.
      var isRetry = false
      /// Workers that keep requests for it, one entry for each request, in the order in which they asked.
      var waiting: [UInt64] = []
      var phase = Phase.loading

      /// The most scripts that are told of in one reload; workers that find others changed hand their requests over all the same.
      private static let changeLimit = 256

      /// The most requests that are handed over in one reload; others go back to the queue.
      static let waitingLimit = 1024

      /// Whether a change is news that is to be passed on.
      func notes(_ change: ScriptChange) -> Bool { changes.count < Reload.changeLimit && !changes.contains(change) }

      /// When the candidates that are ready need no longer wait for the others: as long again as the first of them took.
      func patience(_ least: Int64) -> Int64 {
        let ready = candidates.filter(\.hasSettled).compactMap(\.readySince)
        guard let first = ready.min() else { return .max }
        return first &+ max(first &- started, least)
      }
    }
  }
}
