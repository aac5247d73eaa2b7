/** The form of `images.yaml` as JSON Schema, by which editors complete and check it. */
import { COMPRESSION_PATTERN } from '../layer/compression.js'

/** YAML takes 1.27 for a number, which is read here as it is written. */
const words = { type: ['string', 'number'], minLength: 1 } as const
const text = (description: string) => ({ ...words, description }) as const
const list = (items: object, description: string) => ({ type: 'array', minItems: 1, items, description }) as const
const object = (properties: object, required: readonly string[], description: string) =>
  ({ type: 'object', additionalProperties: false, required, properties, description }) as const

const platforms = {
  description: 'Only these platforms, os[/arch[/variant]][:os.version]; or all of them',
  oneOf: [
    { const: 'all' },
    list(
      { type: 'string', pattern: '^[a-z0-9]+(/[a-z0-9_]+(/[a-z0-9.]+)?)?(:[0-9.]+)?$' },
      'os[/arch[/variant]][:os.version]',
    ),
  ],
}
const referrers = { type: 'boolean', description: 'Carry what refers to the image, signatures and the like' }
const name = text('Name in the bundle; without a tag it takes that of the image')
const names = list(name, 'Names in the bundle')
/** JSON Schema, 2020-12. Test: what it allows is what {@link parseImagesFile} reads. */
export const imagesFileSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'images.yaml of Stowage',
  ...object(
    {
      version: { const: 1, description: 'Of this form' },
      defaults: object(
        {
          platforms,
          insecure: list(
            {
              ...text('HOST[:PORT]'),
              pattern: '^(\\[[0-9a-fA-F:]+\\]|[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?)(:[0-9]{1,5})?$',
            },
            'Registries to speak plain http with',
          ),
          referrers,
        },
        [],
        'What holds for every image that does not say it',
      ),
      images: list(
        {
          oneOf: [
            text('An image: a name, or a place such as oci:DIR[:REF]'),
            object(
              {
                image: text('A name, or a place such as oci:DIR[:REF]; with tags, a repository'),
                tags: {
                  description: 'Tags of the repository: a list, or a rule',
                  oneOf: [
                    list(words, 'Tags'),
                    {
                      ...object(
                        {
                          semver: {
                            ...words,
                            description: 'A range of versions as npm writes it: ">=1.27 <2", "~1.27", "10.0.20348.x"',
                          },
                          match: text(
                            'A regular expression of JavaScript, found anywhere in the tag; a group named version says which part the version is',
                          ),
                          newest: {
                            description: 'Only so many, the newest versions',
                            oneOf: [{ const: 'all' }, { type: 'integer', minimum: 1 }],
                          },
                        },
                        [],
                        'Which tags',
                      ),
                      minProperties: 1,
                    },
                  ],
                },
                platforms,
                name,
                names,
                referrers,
              },
              ['image'],
              'An image',
            ),
          ],
        },
        'Images',
      ),
      wims: list(
        {
          oneOf: [
            text('The path of a WIM'),
            object(
              {
                file: text('The path of a WIM'),
                image: { ...words, description: 'Number or name of the image in the WIM' },
                name,
                names,
                carry: { enum: [true, false, 'only'], description: 'Carry the WIM as a file too, or only as a file' },
                compression: { type: 'string', pattern: COMPRESSION_PATTERN, description: 'Of the layer' },
                order: { enum: ['blob', 'tree'], description: 'Of the files in the layer' },
                lossless: { type: 'boolean', description: 'Keep what a Windows layer has no form for' },
                skipUnsupported: {
                  type: 'boolean',
                  description: 'Leave out what a layer cannot hold, instead of failing',
                },
                references: list(text('A path or a pattern'), 'WIM files that hold blobs of a delta WIM'),
              },
              ['file'],
              'A WIM',
            ),
          ],
        },
        'WIMs, each made into an image',
      ),
      files: list(
        {
          oneOf: [
            text('The path of a file or a directory'),
            object(
              { from: text('The path of a file or a directory'), to: text('Path below files/ in the bundle') },
              ['from'],
              'A file',
            ),
          ],
        },
        'Files that the bundle carries along',
      ),
    },
    ['version'],
    'Images, WIMs and files for one bundle',
  ),
} as const
