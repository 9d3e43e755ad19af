// How many bytes of events a page holds at most, wherever it is read: a limit on their number alone lets a page of large events
// outgrow the process. One event more than the limit may be in it, so that each page has one.

/**
 * Of frames, or of rows as the server sends them. An event may have a megabyte and more: a few of them are a page. Far more than
 * a full page of ordinary events has (some 300 bytes each), so that these are read as fast as ever.
 */
export const pageBytes: number = 16 << 20;
