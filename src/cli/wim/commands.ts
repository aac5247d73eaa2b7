/** The commands of `stowage wim`, with their descriptions and the functions that load their modules. */
import type { AnyWimCommand } from './command.js'

export interface ListedWimCommand {
  readonly describe: string
  readonly loadWim: () => Promise<AnyWimCommand>
}

export const WIM_COMMANDS: Readonly<Record<string, ListedWimCommand>> = {
  append: {
    describe: 'Capture a directory or an NTFS volume as another image in a WIM',
    loadWim: async () => (await import('./append.js')).append,
  },
  apply: {
    describe: 'Extract an image to a directory or an NTFS volume; - reads a pipable WIM from stdin',
    loadWim: async () => (await import('./apply.js')).apply,
  },
  capture: {
    describe: 'Capture a directory or an NTFS volume into a new WIM; - writes it to stdout',
    loadWim: async () => (await import('./capture.js')).capture,
  },
  delete: {
    describe: 'Delete an image, or all of them, from a WIM',
    loadWim: async () => (await import('./delete.js')).remove,
  },
  dir: {
    describe: 'List the files of an image, or of all',
    loadWim: async () => (await import('./dir.js')).dir,
  },
  export: {
    describe: 'Copy an image, or all, to a new or existing WIM; - writes it to stdout',
    loadWim: async () => (await import('./export.js')).exportImages,
  },
  extract: {
    describe: 'Extract files and directories, or everything, to a directory or to stdout',
    loadWim: async () => (await import('./extract.js')).extract,
  },
  info: {
    describe: 'Show a WIM and its images, or change the name, description or other properties of an image',
    loadWim: async () => (await import('./info.js')).info,
  },
  join: {
    describe: 'Join the parts of a split WIM into one',
    loadWim: async () => (await import('./join.js')).join,
  },
  mount: {
    describe: 'Mount an image read-only (Linux)',
    loadWim: async () => (await import('./mount.js')).mount,
  },
  mountrw: {
    describe: 'Mount an image for writing (Linux); "unmount --commit" keeps the changes',
    loadWim: async () => (await import('./mountrw.js')).mountrw,
  },
  optimize: {
    describe: 'Rewrite a WIM without unused space, optionally with another compression or layout',
    loadWim: async () => (await import('./optimize.js')).optimize,
  },
  split: {
    describe: 'Split a WIM into parts of at most PART_SIZE MiB; a large file may exceed it',
    loadWim: async () => (await import('./split.js')).split,
  },
  unmount: {
    describe: 'Unmount an image (Linux), and keep or discard its changes',
    loadWim: async () => (await import('./unmount.js')).unmount,
  },
  update: {
    describe: 'Change an image with commands on stdin, one per line: add SOURCE DEST, delete PATH, rename OLD NEW',
    loadWim: async () => (await import('./update.js')).update,
  },
  verify: {
    describe: 'Check everything in a WIM, and that nothing is missing',
    loadWim: async () => (await import('./verify.js')).verify,
  },
}
