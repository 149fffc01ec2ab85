import Testing
import WSGICore

@testable import WSGIAdapter

@Suite struct ResponseStageTests {
  private func after(_ steps: (inout ResponseStage) -> Void...) -> ResponseStage {
    var stage = ResponseStage.called
    for step in steps { step(&stage) }
    return stage
  }

  @Test func inTheirOrder() {
    #expect(after { $0.start() } == .started)
    #expect(after({ $0.start() }, { $0.restart() }) == .called)
    #expect(after({ $0.start() }, { $0.commit() }, { $0.restart() }) == .committed)
    #expect(after({ $0.start() }, { $0.commit() }, { $0.complete() }) == .complete)
    #expect(after({ $0.start() }, { $0.fail(.closed) }, { $0.commit() }, { $0.complete() }) == .broken(.closed))
    // Nothing is sent before its turn.
    #expect(after { $0.commit() } == .called)
    #expect(after({ $0.start() }, { $0.complete() }) == .started)
  }

  @Test func whatHasEndedStaysSo() {
    var stage = ResponseStage.idle
    stage.start()
    stage.restart()
    stage.commit()
    stage.complete()
    stage.fail(.timedOut)
    #expect(stage == .idle && !stage.isActive && !stage.isStarted && !stage.isCommitted)
  }

  @Test func whatTheySay() {
    #expect(ResponseStage.called.isActive && !ResponseStage.called.isStarted)
    #expect(ResponseStage.started.isStarted && !ResponseStage.started.isCommitted)
    #expect(ResponseStage.committed.isCommitted && ResponseStage.complete.isCommitted)
    // A head that the host refused can still be answered otherwise.
    #expect(ResponseStage.broken(.badHead).isStarted && !ResponseStage.broken(.badHead).isCommitted)
    #expect(ResponseStage.broken(.closed).isCommitted)
  }
}
