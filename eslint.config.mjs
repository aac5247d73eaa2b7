/**
 * The rules that `npm run lint` enforces. typescript-eslint rather than Biome: a forgotten promise and an unhandled
 * case of a union are found by the compiler's own types, across files. Layout is Prettier's.
 */
import js from '@eslint/js'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

/** tap waits for its own subtests. */
const SUBTEST = { from: 'package', package: '@tapjs/core', name: 'PromiseWithSubtest' }

export default defineConfig(
  globalIgnores(['node_modules', 'build', 'dist', 'prebuilds', 'quickstart', '.tap', '.bench']),
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-floating-promises': ['error', { allowForKnownSafePromises: [SUBTEST] }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // An interface may promise what one implementation knows at once.
      '@typescript-eslint/require-await': 'off',
      // Names and texts from outside are searched for control characters.
      'no-control-regex': 'off',
      // What implements an interface here is often an object of closures, which needs no `this`.
      '@typescript-eslint/unbound-method': 'off',
      // An error is handed on as it was caught, whatever it is.
      '@typescript-eslint/prefer-promise-reject-errors': 'off',
      '@typescript-eslint/only-throw-error': 'off',
      // Types promise what is not always so: constants that Windows lacks, JSON.stringify(), fields that change during an await.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // What is turned into text is a scalar, or is shown as it is in a message.
      '@typescript-eslint/no-base-to-string': 'off',
      // Letters of a text are counted as code points.
      '@typescript-eslint/no-misused-spread': ['error', { allow: ['string'] }],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: "ImportExpression[source.type!='Literal']",
          message: 'A kit has the command in one file, which only modules are put into that are named here.',
        },
      ],
    },
  },
  {
    files: ['test/**/*.ts', 'fixtures/**/*.ts', 'bench/**/*.ts'],
    rules: {
      // A test may fail by a TypeError, and looks into documents of any shape.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-explicit-any': 'off',
      // What a program printed is joined as text, and an error is shown as it is.
      '@typescript-eslint/restrict-template-expressions': 'off',
      '@typescript-eslint/restrict-plus-operands': 'off',
      // Trees for t.testdir() have entries named `link`, `sub` and `big`, which are taken for methods of String.
      '@typescript-eslint/no-deprecated': 'off',
      // Documents are damaged in any place.
      '@typescript-eslint/no-dynamic-delete': 'off',
      '@typescript-eslint/no-misused-spread': 'off',
      // Callbacks of one expression look at an event, or at an error known to be one of ours.
      '@typescript-eslint/no-meaningless-void-operator': 'off',
      '@typescript-eslint/no-confusing-void-expression': 'off',
      '@typescript-eslint/use-unknown-in-catch-callback-variable': 'off',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: false } }],
    },
  },
  {
    files: ['**/*.mjs'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        Buffer: 'readonly',
        setTimeout: 'readonly',
        setInterval: 'readonly',
        clearInterval: 'readonly',
        performance: 'readonly',
        URL: 'readonly',
        fetch: 'readonly',
      },
    },
    rules: { 'no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }] },
  },
)
