/** `stowage schema`: prints the JSON Schema of an images file, for editors. */
import { command } from './command.js'
import { imagesFileSchema } from '../images-file/schema.js'
import { jsonText } from './render.js'

export const schema = command({
  examples: [
    ['schema > images.schema.json', 'Then write in images.yaml: # yaml-language-server: $schema=images.schema.json'],
  ],
  run: (_values, { report }) => {
    report(imagesFileSchema, `${jsonText(imagesFileSchema, 2)}\n`)
  },
})
