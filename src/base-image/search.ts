/** Finds base OS images in the registered sources. */
import { StowageError } from '../errors.js'
import type { CatalogEntry } from './catalog.js'
import { checkQuery, findIn, type FindQuery } from './find.js'
import { readCatalog, type ReadCatalogOptions } from './read-catalog.js'
import { chooseSources, listSources, type SourcesOptions } from './sources.js'

export interface FindImagesOptions extends FindQuery, ReadCatalogOptions, SourcesOptions {
  /** Only these sources, by name or location. */
  readonly sources?: readonly string[] | undefined
}

/**
 * The images of the sources that match. If a source cannot be read, that is a warning, or an error if none can be read.
 * Throws INVALID_ARGUMENT for options that cannot be used together, IMAGE_NOT_FOUND if no source is registered.
 */
export async function findImages(options: FindImagesOptions = {}): Promise<readonly CatalogEntry[]> {
  checkQuery(options)
  const sources = chooseSources(await listSources(options), options.sources ?? [])
  if (sources.length === 0) {
    throw new StowageError('IMAGE_NOT_FOUND', 'no source of base OS images is registered', {
      hint: 'Register one: stowage source add NAME https://…/index.json, or a folder of WIM files. The gallery of 2016 no longer exists.',
    })
  }
  const entries: CatalogEntry[] = []
  const failures: StowageError[] = []
  for (const source of sources) {
    try {
      entries.push(...(await readCatalog(source, options)))
    } catch (error) {
      if (!(error instanceof StowageError) || error.code === 'ABORTED') throw error
      failures.push(
        new StowageError(error.code, `source ${source.name}: ${error.message}`, {
          hint:
            error.hint ??
            `Check its location: stowage source list. Use another one with --source, or remove it: stowage source remove ${JSON.stringify(source.name)}.`,
          cause: error,
        }),
      )
    }
  }
  const [first] = failures
  if (first && failures.length === sources.length) throw first
  for (const { message } of failures) options.onWarning?.(message)
  return findIn(entries, options)
}
