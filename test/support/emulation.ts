/** What the emulation of another processor costs, by which limits of time and memory are multiplied; 1 without. */
const EMULATED = process.env['STOWAGE_EMULATED'] !== undefined

/** How many times slower a program is. */
export const SLOWER = EMULATED ? 10 : 1
/** How many times the memory it takes, in which the translated code is. */
export const LARGER = EMULATED ? 3 : 1
