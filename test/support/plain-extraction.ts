/** Extraction by our own readers, which an open WIM does by itself only where there is no libwim. */
import { extractFlags, imageNumber } from '../../src/wim/flags.js'
import { startJob } from '../../src/wim/job.js'
import type { ExtractPathsOptions, ImageNumber } from '../../src/wim/options.js'
import type { WimFile } from '../../src/wim/wim-file.js'

export interface PlainExtractionOptions extends ExtractPathsOptions {
  readonly paths?: readonly string[] | undefined
  /** A file with paths. */
  readonly list?: string | undefined
}

/** What `WimFile.extract()`, `extractPaths()` or `extractPathList()` does without libwim. */
export async function extractPlain(
  wim: WimFile,
  image: ImageNumber,
  target: string,
  options: PlainExtractionOptions = {},
): Promise<void> {
  const { paths, list } = options
  const operation = paths ? 'extractPaths' : list === undefined ? 'extract' : 'extractPathList'
  const args = {
    wim: wim.native,
    image: imageNumber(image),
    target,
    flags: extractFlags(options),
    paths,
    list,
    names: wim.images().map(({ name }) => name),
    plain: 1,
  }
  await startJob(operation, args, wim.path ?? '', options).result
}
