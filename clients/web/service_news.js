// What the server says of itself: its engine, its end, the session's. Pure: an event in, news out.

/**
 * @typedef {object} News
 * @property {"recovering"|"recovered"|"leaving"|"expiring"|"begun"} name what has happened
 * @property {number} [s] seconds that are left
 */

/**
 * Read the news of the service out of a server event.
 * @param {any} event server event
 * @returns {News|null} nothing where the event tells of something else
 */
export function newsOf(event) {
  switch (event?.type) {
    case "character.engine":
      return { name: event.status === "recovering" ? "recovering" : "recovered" };
    case "character.session.going_away":
      return { name: "leaving" };
    case "character.session.expiring":
      return { name: "expiring", s: Math.max(1, Math.round((event.in_ms ?? 0) / 1000)) };
    case "session.created": // one that goes on is told what has changed meanwhile; a new one knows nothing
      return event.session?.resume?.resumed ? null : { name: "begun" };
    default:
      return null;
  }
}
