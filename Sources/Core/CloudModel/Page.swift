/// Which part of a list is wanted.
///
/// A list has a key: texts and numbers that name one item of it and never change, and it is sorted by that key. A page begins
/// after the key of the last item of the page before. So an item that stays as it is while somebody reads page after page is
/// on exactly one of them, whatever is added or removed beside it, and nothing is kept between two pages.
package struct PageRequest: Sendable, Hashable {
    /// Items on a page when nobody says how many.
    package static let defaultLimit = 100
    /// Items on a page at most.
    package static let maximumLimit = 1000

    /// The key after which the page begins; nil at the beginning of the list.
    package let after: [String]?
    /// From 1 to ``maximumLimit``.
    package let limit: Int

    package init(after: [String]? = nil, limit: Int = defaultLimit) {
        self.after = after
        self.limit = limit
    }

    /// What to ask a database for: one item more than the page has says that there is a next page.
    package var fetchLimit: Int32 { Int32(limit) + 1 }
}

/// A part of a list, in the order of its key.
package struct Page<Item: Sendable>: Sendable {
    package let items: [Item]
    /// The key after which the next page begins; nil on the last one.
    package let next: [String]?

    package init(items: [Item], next: [String]?) {
        self.items = items
        self.next = next
    }

    /// - Parameters:
    ///   - found: the items after ``PageRequest/after``, at most ``PageRequest/fetchLimit`` of them.
    ///   - key: the key of an item.
    package init(_ found: [Item], of request: PageRequest, key: (Item) -> [String]) {
        items = Array(found.prefix(request.limit))
        next = found.count > request.limit ? items.last.map(key) : nil
    }

    package func map<Other: Sendable>(_ transform: (Item) -> Other) -> Page<Other> {
        Page<Other>(items: items.map(transform), next: next)
    }
}
