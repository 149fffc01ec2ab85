import DaemonTransport
import ProcessSupervision
import WSGIConfig
import WSGICore

// Groups of tenants as an httpd child has them.

extension Generation {
  /// The group that the supervisor has found or made. It may have been made for the script of another owner, who decides whom
  /// it runs as.
  func group(of name: QueuesOnDemand.Name, _ found: GroupActivation.Asker.Found) -> ChildGroup? {
    guard let owner = name.owner else { return nil }
    let user = processGroups?.scoreboard(found.place)?.occupant?.tenant.user ?? owner.user
    let record = user == owner.user ? owner.record : UserRecord(name: "", uid: user, gid: .max, home: "/")
    return group(of: name.group, for: owner.key, record, place: found.place, userNumber: found.user)
  }

  /// All groups that there are of a template, by name.
  func tenants(of template: ChildGroup) -> [(name: QueuesOnDemand.Name, group: ChildGroup)] {
    let made = configuration.tenantPlaces(of: template.place).compactMap { place in
      processGroups?.scoreboard(place)?.occupant.flatMap { occupant in
        let owner = ScriptUser(key: occupant.tenant.key, user: occupant.tenant.user, record: nil)
        return group(of: template, for: owner.key, nil, place: place, userNumber: occupant.userNumber)
          .map { (name: QueuesOnDemand.Name(group: template, owner: owner), group: $0) }
      }
    }
    return made.sorted { $0.group.name < $1.group.name }
  }

  /// `user`: who its processes run as. nil: there is no row for it.
  private func group(
    of template: ChildGroup, for key: TenantKey, _ user: UserRecord?, place: Int, userNumber: Int?
  ) -> ChildGroup? {
    guard var queue = template.queue, let row = row(place, user: userNumber) else { return nil }
    queue.row = row
    return ChildGroup(
      template.config.made(for: key, user: user), row, queue: queue, scoreboard: processGroups?.scoreboard(place))
  }
}
